//! What keys were asked to sign, until they answer: in memory, in bounded number, each good once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use webauthn_rs::prelude::{SecurityKeyAuthentication, SecurityKeyRegistration};

use super::{super::SessionId, KeyHost};

/// For how long an answer is waited for.
const LASTS: Duration = Duration::from_secs(5 * 60);

/// How many there are at most; whoever has a session is asked one thing at a time.
const MOST: usize = 512;

/// What a key was asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To be added.
    Registration(SecurityKeyRegistration),
    /// To sign somebody in.
    SignIn(SecurityKeyAuthentication),
}

#[derive(Debug)]
struct Challenge {
    made: Timestamp,
    host: KeyHost,
    asked: Asked,
}

impl Challenge {
    /// One from the future is of a clock that was wrong.
    fn holds(&self, now: Timestamp) -> bool {
        now.duration_since(self.made).unsigned_abs() < LASTS
    }
}

/// What is asked, by the session that asked it.
#[derive(Debug, Default)]
pub(in crate::accounts) struct Challenges(Mutex<HashMap<SessionId, Challenge>>);

impl Challenges {
    /// Keeps what a session asks, in the place of what it asked before. Where there are too many, the oldest goes.
    pub(super) fn keep(&self, session: SessionId, host: &KeyHost, asked: Asked, now: Timestamp) {
        // A panic while it was held left a whole map: each change is one call of it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, challenge| challenge.holds(now));
        if all.len() >= MOST
            && !all.contains_key(&session)
            && let Some(oldest) =
                all.iter().min_by_key(|(_, challenge)| challenge.made).map(|(session, _)| *session)
        {
            all.remove(&oldest);
        }
        all.insert(session, Challenge { made: now, host: host.clone(), asked });
    }

    /// What a session asked under a host; it is used up, whatever the answer is. None when it asked nothing there, or too
    /// long ago.
    pub(super) fn take(&self, session: SessionId, host: &KeyHost, now: Timestamp) -> Option<Asked> {
        let challenge = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&session)?;
        (challenge.host == *host && challenge.holds(now)).then_some(challenge.asked)
    }

    #[cfg(test)]
    pub(in crate::accounts) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_without_end_don_t_grow_the_table_without_end_and_the_newest_stays() {
        let host = KeyHost::new("schoolgate.local").unwrap();
        let webauthn = host.webauthn("Schoolgate").unwrap();
        let (challenges, now) = (Challenges::default(), Timestamp::from_second(1_800_000_000).unwrap());
        let last = 3 * MOST as i64;
        let id = webauthn_rs::prelude::Uuid::from_u128(1);
        let (_, state) = webauthn.start_securitykey_registration(id, "a", "A", None, None, None).unwrap();
        for n in 0..=last {
            let now = now + jiff::SignedDuration::from_millis(n);
            challenges.keep(SessionId(n), &host, Asked::Registration(state.clone()), now);
        }
        assert_eq!(challenges.len(), MOST);
        assert!(challenges.take(SessionId(0), &host, now).is_none());
        assert!(challenges.take(SessionId(last), &host, now).is_some());
        assert!(challenges.take(SessionId(last), &host, now).is_none(), "it is good once");
    }
}
