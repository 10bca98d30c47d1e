//! Choosing by a hash, so that what belongs together goes to the same endpoint, in every worker, in every proxy, after
//! every restart.
//!
//! A [`Layout`] gives each key its endpoints in an order. The first of them is the key's home; whoever may not be taken,
//! or is full, is passed over, for this key alone, and has its keys back as soon as it may be.
//!
//! **Bounded load** (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", arXiv 1608.01350): an
//! endpoint is full with ⌈c · m · its share of the weight⌉ requests in flight, where m are those in flight at all that may
//! be taken, this one included. So neither a popular key nor a client who picks his keys to meet at one endpoint loads it
//! with more than c times its share. Other workers may add one each between the look and the count; and m, for which every
//! endpoint is asked, is a few picks old where there are more than 128.

use super::{Balance, Eligible, Hint, Random};
use crate::endpoint::{EndpointId, Endpoints};
use crate::hash;
use crate::rng::Rng;

/// An endpoint with a place in a layout.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Which it is.
    pub id: EndpointId,
    /// Its identity; nothing else of it decides which keys are its own.
    pub identity: u64,
    /// Its share relative to the others, at least 1.
    pub weight: u16,
}

/// How keys are laid out over endpoints.
pub trait Layout: Default {
    /// For these endpoints, in the order of their identities: the order of a list says nothing.
    fn build(members: &[Member]) -> Self;

    /// The endpoints of a key, its home first, perhaps for ever and some of them several times.
    fn places(&self, key: u64) -> impl Iterator<Item = EndpointId>;
}

/// Picks by [`Hint::hash`] over a layout; without a hash by chance, by weight.
///
/// The layout covers every endpoint that has a weight, whether or not it may be taken just now, so that one that goes
/// moves no key but its own. Weights that are changed while it runs (the admin API does that) are seen within as many picks
/// as there are endpoints, at least 64, and laid out anew. An endpoint of weight 0 has no place.
#[derive(Debug)]
pub struct Hashing<L> {
    layout: L,
    /// The weights it was made for, by index.
    weights: Box<[u16]>,
    /// Picks until they are compared with those in force.
    compare_in: usize,
    /// What an endpoint may have in flight, in percent of its share.
    bound: Option<u32>,
    crowd: Crowd,
}

/// A bound that leaves room for chance: HAProxy's and the paper's suggestion. None is the default, as what must not move
/// would with little in flight.
pub const BOUND: Option<u32> = Some(125);

/// How many of a key's places are looked at before all endpoints are: that many in a row that may not be taken are rare
/// unless hardly any may.
const TRIES: usize = 64;

/// All endpoints are counted for each pick if they are no more than this; of more, so many for each pick on average.
const COUNTED: usize = 128;

/// How many picks there are at least between two looks at the weights.
const COMPARED: usize = 64;

/// What all eligible endpoints have together.
#[derive(Debug, Default)]
struct Crowd {
    /// What one of this weight may have in flight is this much.
    weight: u64,
    bound: u64,
    /// For so many picks that stands, the present one included.
    stands: usize,
}

impl Crowd {
    /// Whether the endpoint may have one more.
    fn has_room(&mut self, bound: Option<u32>, eligible: &Eligible<'_>, id: EndpointId) -> bool {
        let in_flight = eligible.in_flight(id);
        let Some(bound) = bound.filter(|_| in_flight > 0) else {
            // The bound of an idle one is at least 1.
            return true;
        };
        if self.stands == 0 {
            let (all, weight) = eligible.totals();
            (self.weight, self.bound) =
                (weight.saturating_mul(100), u64::from(bound).saturating_mul(all + 1));
            self.stands = eligible.len().div_ceil(COUNTED);
        }
        // in_flight + 1 <= ⌈bound / 100 · (all + 1) · weight / all weights⌉, without dividing.
        let own = u128::from(in_flight) * u128::from(self.weight);
        own < u128::from(eligible.weight(id)) * u128::from(self.bound)
    }
}

impl<L: Layout> Hashing<L> {
    /// Lets an endpoint have that many percent of its share in flight, 100 at least; `None` is any number.
    #[must_use]
    pub fn bounded(self, bound: Option<u32>) -> Self {
        Self { bound: bound.map(|bound| bound.max(100)), ..self }
    }

    /// Sees to it that the layout is that of these endpoints.
    fn keep_up(&mut self, endpoints: &Endpoints) {
        let is_theirs = self.weights.len() == endpoints.len();
        if is_theirs && let Some(fewer) = self.compare_in.checked_sub(1) {
            self.compare_in = fewer;
            return;
        }
        let weights = endpoints.iter().map(|(_, endpoint)| endpoint.status.weight());
        if is_theirs && weights.eq(self.weights.iter().copied()) {
            self.compare_in = endpoints.len().max(COMPARED);
        } else {
            self.rebuild(endpoints);
        }
    }
}

impl<L: Layout> Default for Hashing<L> {
    fn default() -> Self {
        Self {
            layout: L::default(),
            weights: Box::default(),
            compare_in: 0,
            bound: None,
            crowd: Crowd::default(),
        }
    }
}

impl<L: Layout> Balance for Hashing<L> {
    fn pick(&mut self, eligible: &Eligible<'_>, hint: Hint, rng: &mut Rng) -> EndpointId {
        let Some(key) = hint.hash else { return Random.pick(eligible, hint, rng) };
        self.keep_up(eligible.endpoints());
        let Self { layout, bound, crowd, .. } = self;
        crowd.stands = crowd.stands.saturating_sub(1);
        let mut home = None;
        for id in layout.places(key).take(TRIES).filter(|id| eligible.contains(*id)) {
            if crowd.has_room(*bound, eligible, id) {
                return id;
            }
            home.get_or_insert(id);
        }
        // Hardly any may be taken: by the highest hash of key and endpoint (Thaler and Ravishankar, "A Name-Based Mapping
        // Scheme for Rendezvous", 1996), which moves no other key either.
        let rank = |id: &EndpointId| hash::mix(key ^ hash::mix(eligible.identity(*id)));
        let roomy = eligible.ids().filter(|id| crowd.has_room(*bound, eligible, *id)).max_by_key(rank);
        roomy.or(home).or_else(|| eligible.ids().max_by_key(rank)).unwrap_or(eligible.first())
    }

    fn rebuild(&mut self, endpoints: &Endpoints) {
        self.weights = endpoints.iter().map(|(_, endpoint)| endpoint.status.weight()).collect();
        self.compare_in = endpoints.len().max(COMPARED);
        self.crowd = Crowd::default();
        let mut members: Vec<_> = endpoints
            .iter()
            .zip(&self.weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|((id, endpoint), weight)| Member { id, identity: endpoint.identity, weight: *weight })
            .collect();
        members.sort_unstable_by_key(|member| (member.identity, member.id));
        self.layout = L::build(&members);
    }
}
