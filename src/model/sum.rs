//! Sums that lose nothing: `1e100 + 1 - 1e100` is 1.

/// A sum that keeps what each addition loses (Neumaier's variant of Kahan's).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) total: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) fn of(total: f64) -> Sum {
        Sum { total, lost: 0.0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let total = self.total + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.lost += (self.total - total) + value;
        } else {
            self.lost += (value - total) + self.total;
        }
        self.total = total;
    }

    pub(crate) fn value(self) -> f64 {
        self.total + self.lost
    }
}
