use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::inbox::INBOX_BYTES_MAX;
use super::tcp::Incoming;
use super::*;

fn taken(inbox: &Inbox) -> String {
    let mut bytes = Vec::new();
    inbox.swap(&mut bytes);
    String::from_utf8(bytes).expect("it was text")
}

fn lines(inbox: &Inbox) -> Vec<String> {
    taken(inbox).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Sends the text in pieces of so many bytes, or of what there is room for.
async fn send(incoming: &mut Incoming, inbox: &Inbox, mut text: &[u8], piece_bytes: usize) {
    while !text.is_empty() {
        let room = incoming.room();
        let bytes = piece_bytes.min(room.len()).min(text.len());
        room[..bytes].copy_from_slice(&text[..bytes]);
        incoming.hand_over(inbox, bytes).await;
        text = &text[bytes..];
    }
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
        let (inbox, mut incoming) = (Inbox::default(), Incoming::new(64));
        send(&mut incoming, &inbox, text, piece_bytes).await;
        assert_eq!(lines(&inbox), ["a:1|c", "longer.name:2|c", "b:3|c"], "in pieces of {piece_bytes}");
        incoming.end(&inbox).await;
        assert_eq!(lines(&inbox), ["last"]);
    }
}

#[tokio::test]
async fn of_a_line_that_is_too_long_the_rest_is_dropped_however_it_is_cut() {
    // The first line is cut behind 16 bytes: what follows would be lines of their own.
    let text = b"0123456789abcdefb:1|cb:1|cb:1|cb:1|c\nc:2|c\n";
    for piece_bytes in 1..=16 {
        let (inbox, mut incoming) = (Inbox::default(), Incoming::new(16));
        send(&mut incoming, &inbox, text, piece_bytes).await;
        assert_eq!(lines(&inbox), ["0123456789abcdef", "c:2|c"], "in pieces of {piece_bytes}");
    }
    let (inbox, mut incoming) = (Inbox::default(), Incoming::new(16));
    send(&mut incoming, &inbox, b"0123456789abcdefb:1|c", 16).await;
    incoming.end(&inbox).await;
    assert_eq!(lines(&inbox), ["0123456789abcdef"], "its end never came");
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
