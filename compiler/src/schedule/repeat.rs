//! Loops: where carried values lie while they go round.
//!
//! With a known number of trips a carried value alternates between two buffers, read at `i` and written at `i + 1`.
//! Otherwise it is copied back at the end of each iteration, so that it is in one place whenever the loop ends.

use super::*;

impl Walk<'_, '_> {
    pub(super) fn repeat(
        &mut self,
        node: NodeId,
        repeat: &Repeat,
        dies: &dyn Fn(ValueId) -> bool,
        steps: &mut Vec<Step>,
    ) {
        let known = repeat.trips.as_constant().filter(|_| repeat.condition.is_none());
        match known {
            Some(trips) => self.alternate(node, repeat, trips, dies, steps),
            None => self.copy_back(node, repeat, steps),
        }
    }

    fn alternate(
        &mut self,
        node: NodeId,
        repeat: &Repeat,
        trips: i64,
        dies: &dyn Fn(ValueId) -> bool,
        steps: &mut Vec<Step>,
    ) {
        let graph = self.shared.graph;
        let data = &graph.nodes[node];
        let inside = self.groups.reads_within(graph, &repeat.body, &repeat.results);
        let free = |value: ValueId| dies(value) && !inside.contains(&value);
        let mut pairs = Vec::new();
        for (initial, param) in data.inputs.iter().zip(&repeat.params) {
            let first = self.starting_room(*initial, *param, &data.inputs, &free, steps);
            let second = self.room(graph.ty(*param));
            pairs.push([first, second]);
            let argument = self.turn(&pairs[pairs.len() - 1], repeat.counter, 0);
            self.homes.insert(*param, self.memory(argument, graph.ty(*param)));
        }
        let mut copies = Vec::new();
        for (result, pair) in repeat.results.iter().zip(&pairs) {
            let next = self.turn(pair, repeat.counter, 1);
            if !self.want(*result, &repeat.body, next.clone()) {
                copies.push((*result, next));
            }
        }
        let mut body = Vec::new();
        self.block(&repeat.body, &repeat.results, &mut body);
        for (result, next) in copies {
            self.copy(result, next, &mut body);
        }
        repeat.results.iter().for_each(|result| self.release_made(*result, &repeat.body));
        steps.push(Step::Loop { counter: repeat.counter, trips: repeat.trips.clone(), condition: None, body });
        for (output, [first, second]) in data.outputs.iter().zip(pairs) {
            let (last, other) = if trips % 2 == 0 { (first, second) } else { (second, first) };
            self.homes.insert(*output, self.memory(last.0, graph.ty(*output)));
            self.leases.insert(*output, last.1);
            self.arena.give(other.1.region);
        }
    }

    /// The initial value's own region when nobody needs it any more, else a new one with a copy.
    fn starting_room(
        &mut self,
        initial: ValueId,
        param: ValueId,
        all: &[ValueId],
        free: &dyn Fn(ValueId) -> bool,
        steps: &mut Vec<Step>,
    ) -> (Argument, Lease) {
        let alone = all.iter().filter(|v| **v == initial).count() == 1;
        if let (true, true, Some(lease)) = (free(initial), alone, self.leases.get(&initial).copied())
            && let Home::Memory { argument: argument @ Argument::Buffer(_), .. } = &self.homes[&initial]
        {
            let argument = argument.clone();
            self.leases.remove(&initial);
            return (argument, lease);
        }
        let room = self.room(self.shared.graph.ty(param));
        self.copy(initial, room.0.clone(), steps);
        room
    }

    fn turn(&self, pair: &[(Argument, Lease); 2], counter: Slot, ahead: i64) -> Argument {
        let members = pair.iter().map(|(argument, _)| match argument {
            Argument::Buffer(buffer) => *buffer,
            Argument::Family(_) => unreachable!("rooms are single buffers"),
        });
        Argument::Family(Family { members: members.collect(), counter, ahead })
    }

    fn copy_back(&mut self, node: NodeId, repeat: &Repeat, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let data = &graph.nodes[node];
        let mut homes = Vec::new();
        for (initial, param) in data.inputs.iter().zip(&repeat.params) {
            let (argument, lease) = self.room(graph.ty(*param));
            self.copy(*initial, argument.clone(), steps);
            self.homes.insert(*param, self.memory(argument.clone(), graph.ty(*param)));
            homes.push((argument, lease));
        }
        let flag = self.condition(repeat, None, steps);
        let mut body = Vec::new();
        self.block(&repeat.body, &repeat.results, &mut body);
        self.carry(repeat, &homes, &mut body);
        if flag.is_some() {
            self.condition(repeat, flag.clone(), &mut body);
        }
        steps.push(Step::Loop { counter: repeat.counter, trips: repeat.trips.clone(), condition: flag, body });
        for (output, (argument, lease)) in data.outputs.iter().zip(homes) {
            self.homes.insert(*output, self.memory(argument, graph.ty(*output)));
            self.leases.insert(*output, lease);
        }
    }

    /// Copies the results to where the next iteration reads them. A result that is itself a carried value (a swap) is
    /// first put aside, for its place may be overwritten by another.
    fn carry(&mut self, repeat: &Repeat, homes: &[(Argument, Lease)], body: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let mut moves = Vec::new();
        for ((result, param), (argument, _)) in repeat.results.iter().zip(&repeat.params).zip(homes) {
            if result == param {
                continue;
            }
            let swapped = matches!(self.homes.get(result), Some(Home::Memory { argument, .. })
                if homes.iter().any(|(place, _)| place == argument));
            if swapped {
                let (aside, lease) = self.room(graph.ty(*result));
                self.copy(*result, aside.clone(), body);
                moves.push((*result, self.memory(aside, graph.ty(*result)), argument.clone(), Some(lease)));
            } else {
                moves.push((*result, self.homes[result].clone(), argument.clone(), None));
            }
        }
        for (result, from, to, lease) in moves {
            self.homes.insert(result, from);
            self.copy(result, to, body);
            match lease {
                Some(lease) => self.arena.give(lease.region),
                None => self.release_made(result, &repeat.body),
            }
        }
    }

    /// Computes the flag of a `while`, into the same buffer each time.
    fn condition(&mut self, repeat: &Repeat, into: Option<Argument>, steps: &mut Vec<Step>) -> Option<Argument> {
        let (block, flag) = repeat.condition.as_ref()?;
        let place = into.unwrap_or_else(|| self.room(self.shared.graph.ty(*flag)).0);
        self.block(block, &[*flag], steps);
        self.copy(*flag, place.clone(), steps);
        self.release_made(*flag, block);
        Some(place)
    }
}
