use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::inbox::INBOX_BYTES_MAX;
use super::tcp::hand_over;
use super::*;

fn taken(inbox: &Inbox) -> String {
    let mut bytes = Vec::new();
    inbox.swap(&mut bytes);
    String::from_utf8(bytes).expect("it was text")
}

#[test]
fn full_inbox_refuses_and_an_emptied_one_takes_again() {
    let inbox = Inbox::default();
    let datagram = vec![b'x'; 1 << 20];
    let taken_count = (0..20).filter(|_| inbox.add(&datagram)).count();
    // Each takes a byte more for its line feed, so the eighth mebibyte has no room.
    assert_eq!(taken_count, 7);
    assert!(inbox.add(b"short"), "what is shorter still finds room");
    let mut bytes = Vec::new();
    inbox.swap(&mut bytes);
    assert_eq!(bytes.len(), 7 * ((1 << 20) + 1) + 6);
    assert!(bytes.len() < INBOX_BYTES_MAX && inbox.add(&datagram));
}

#[tokio::test]
async fn lines_are_handed_over_whole_however_they_are_cut() {
    let text = b"a:1|c\nlonger.name:2|c\n\nb:3|c\nlast";
    for piece_bytes in 1..text.len() {
        let (inbox, mut buffer, mut used) = (Inbox::default(), [0; 64], 0);
        for piece in text.chunks(piece_bytes) {
            buffer[used..used + piece.len()].copy_from_slice(piece);
            used = hand_over(&inbox, &mut buffer, used + piece.len()).await;
        }
        assert_eq!(&buffer[..used], b"last");
        let lines = taken(&inbox);
        let lines: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["a:1|c", "longer.name:2|c", "b:3|c"], "in pieces of {piece_bytes}");
    }
}

#[tokio::test]
async fn line_without_end_is_cut_where_the_buffer_ends() {
    let (inbox, mut buffer) = (Inbox::default(), [b'x'; 8]);
    assert_eq!(hand_over(&inbox, &mut buffer, 7).await, 7);
    assert_eq!(hand_over(&inbox, &mut buffer, 8).await, 0);
    assert_eq!(taken(&inbox), "xxxxxxxx\n");
}

#[tokio::test]
async fn receivers_take_what_has_come_before_they_stop() {
    let sockets = StatsdSockets::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = sockets.udp.local_addr().expect("a bound socket has an address");
    assert_eq!(sockets.tcp.local_addr().expect("a bound socket has an address"), address);
    let (inbox, counters) = (Arc::new(Inbox::default()), Arc::new(StatsdCounters::default()));
    let (stop, stopped) = signal::channel(false);
    let connections = tokio::spawn(tcp::listen(sockets.tcp, inbox.clone(), stopped.clone()));
    let mut connected = TcpStream::connect(address).await.expect("somebody listens");
    connected.write_all(b"tcp:1|c\ntcp:2|c").await.expect("it is read");
    inbox.arrived().await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    sender.send_to(b"udp:1|c", address).await.expect("sent");
    stop.send(true).expect("somebody listens");
    // Started when it is to stop already: what waits in the system is all there is.
    udp::receive(sockets.udp, inbox.clone(), counters.clone(), stopped).await;
    connections.await.expect("it ends");
    let lines = taken(&inbox);
    let mut lines: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["tcp:1|c", "tcp:2|c", "udp:1|c"]);
    assert_eq!(counters.datagrams.load(Ordering::Relaxed), 1);
    assert_eq!(counters.datagrams_dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn sender_that_never_ends_is_not_waited_for() {
    let sockets = StatsdSockets::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = sockets.udp.local_addr().expect("a bound socket has an address");
    let (stop, stopped) = signal::channel(false);
    stop.send(true).expect("somebody listens");
    let sending = tokio::spawn(async move {
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        loop {
            let _ = sender.send_to(b"a:1|c", address).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let receiving = udp::receive(sockets.udp, Arc::default(), Arc::default(), stopped);
    tokio::time::timeout(Duration::from_secs(20), receiving).await.expect("it ends");
    sending.abort();
}
