"""The venue: the one mutable thing, holding the scenario of this moment. No I/O, no clock."""

from ibkr_rebalancer.sandbox.venue.document import Document, merged
from ibkr_rebalancer.sandbox.venue.faults import Switchboard
from ibkr_rebalancer.sandbox.venue.scenario import Scenario, read_scenario, write_scenario


class Venue:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.switchboard = Switchboard(scenario.faults)

    def changed(self, change: Document) -> Scenario:
        """The scenario as it would be with a change laid over it.

        Raises:
            ScenarioError: if that is none.
        """
        document = write_scenario(self.scenario)
        # An answer of the allocation API is one value: half of the last one makes no sense under the next.
        for name in change.get("allocations") or {}:
            document["allocations"].pop(name, None)
        return read_scenario(merged(document, change))

    def become(self, scenario: Scenario) -> None:
        """Take on another state; counts of faults are kept unless the faults are others."""
        if scenario.faults != self.scenario.faults:
            self.switchboard = Switchboard(scenario.faults)
        self.scenario = scenario
