//! The stages of a request's life, each alone and ready to be repeated: `request_path` takes their time, `instructions` counts
//! what the processor executes for them. `world` is the gateway they happen in, `judging` and `proxying` are the stages of every
//! request, `hostile` is what an attacker sends to make one of them slow.

pub mod hostile;
mod judging;
mod proxying;
mod world;

use std::hint::black_box;

/// Something that can be repeated.
pub struct Stage {
    /// Its part of the request's life: a group of the report.
    pub group: &'static str,
    /// What is done, and on what.
    pub name: String,
    work: Box<dyn Repeat>,
}

/// What is given the work to run, and measures it.
pub type Meter<'m> = dyn FnMut(&mut dyn FnMut()) + 'm;

impl Stage {
    /// A stage that takes nothing and leaves everything as it was.
    pub fn of<R: 'static>(
        group: &'static str,
        name: impl Into<String>,
        mut run: impl FnMut() -> R + 'static,
    ) -> Stage {
        Stage::on(group, name, || (), move |()| run())
    }

    /// A stage that uses up what `make` makes; making it is not measured, nor is throwing away what comes out.
    pub fn on<T: 'static, R: 'static>(
        group: &'static str,
        name: impl Into<String>,
        make: impl FnMut() -> T + 'static,
        run: impl FnMut(T) -> R + 'static,
    ) -> Stage {
        Stage { group, name: name.into(), work: Box::new(Work { make, run }) }
    }

    /// Repeats it so many times; what is measured is the run alone.
    pub fn repeat(&mut self, times: usize, meter: &mut Meter<'_>) {
        self.work.repeat(times, meter);
    }
}

trait Repeat {
    fn repeat(&mut self, times: usize, meter: &mut Meter<'_>);
}

struct Work<M, F> {
    make: M,
    run: F,
}

impl<T, R, M: FnMut() -> T, F: FnMut(T) -> R> Repeat for Work<M, F> {
    fn repeat(&mut self, times: usize, meter: &mut Meter<'_>) {
        let mut inputs: Vec<T> = (0..times).map(|_| (self.make)()).collect();
        let mut outputs = Vec::with_capacity(times);
        meter(&mut || {
            for input in inputs.drain(..) {
                outputs.push(black_box((self.run)(black_box(input))));
            }
        });
    }
}

/// Every stage, in the order of a request.
pub fn all() -> Vec<Stage> {
    let mut all = judging::stages();
    all.extend(proxying::stages());
    all
}
