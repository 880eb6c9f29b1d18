//! How long the query log keeps what, what must be kept all the same, and what is erased.

use tracing::warn;

use super::Control;
use crate::policy::{PolicyFile, Problem, Severity};

impl Control {
    /// What a policy would keep for longer than the box allows: errors, and warnings where the policy in force says
    /// the same already, since the limits came later then and no other change must wait for it.
    pub(super) fn over_log_limits(
        &self,
        file: &PolicyFile,
        current: &PolicyFile,
    ) -> (Vec<Problem>, Vec<Problem>) {
        let mut over = file.log.over(&self.log_limits);
        if file.log != current.log {
            return (over, Vec::new());
        }
        for problem in &mut over {
            problem.severity = Severity::Warning;
            problem.what.push_str(", so it is cut to that");
        }
        (Vec::new(), over)
    }

    /// Says in the log where the policy in force keeps less than it says.
    pub(super) fn warn_of_cut_retention(&self) {
        for problem in self.policy.load().file().log.over(&self.log_limits) {
            warn!(
                place = problem.place,
                "{}, so it is cut to that; {}",
                problem.what,
                problem.instead.unwrap_or_default()
            );
        }
    }
}
