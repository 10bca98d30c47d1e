//! [`Slots`]: a long list of endpoints, small.

use crate::endpoint::EndpointId;

/// Endpoints in two bytes each where their indices fit: tables have many entries, and each worker has its own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slots {
    Narrow(Box<[u16]>),
    Wide(Box<[u32]>),
}

impl Slots {
    /// These endpoints, in this order.
    pub(super) fn new(ids: impl Iterator<Item = u32> + Clone) -> Self {
        let narrow: Option<Box<[u16]>> = ids.clone().map(|id| u16::try_from(id).ok()).collect();
        narrow.map_or_else(|| Self::Wide(ids.collect()), Self::Narrow)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(ids) => ids.len(),
            Self::Wide(ids) => ids.len(),
        }
    }

    /// The one at this place.
    pub(super) fn get(&self, place: usize) -> Option<EndpointId> {
        let id = match self {
            Self::Narrow(ids) => ids.get(place).copied().map(u32::from),
            Self::Wide(ids) => ids.get(place).copied(),
        };
        id.map(EndpointId)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::Narrow(Box::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_whatever_its_width() {
        for most in [3, 65_535, 65_536, u32::MAX] {
            let ids = [0, 2, most, 1];
            let slots = Slots::new(ids.into_iter());
            assert_eq!(matches!(slots, Slots::Narrow(_)), most < 65_536);
            assert_eq!(slots.len(), 4);
            let out: Vec<_> = (0..5).map_while(|place| slots.get(place)).map(|id| id.0).collect();
            assert_eq!(out, ids);
        }
        assert_eq!((Slots::default().len(), Slots::default().get(0)), (0, None));
    }
}
