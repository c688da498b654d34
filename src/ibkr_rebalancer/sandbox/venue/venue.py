"""The venue: the one mutable thing, holding the scenario of this moment. No I/O, no clock."""

from ibkr_rebalancer.sandbox.venue.faults import Switchboard
from ibkr_rebalancer.sandbox.venue.scenario import Document, Scenario, merged, read_scenario, write_scenario


class Venue:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.switchboard = Switchboard(scenario.faults)

    def changed(self, change: Document) -> Scenario:
        """The scenario as it would be with a change laid over it.

        Raises:
            ScenarioError: if that is none.
        """
        document = merged(write_scenario(self.scenario), change)
        # An answer of the allocation API is one value: half of another one makes no sense under it.
        document["allocations"] = document["allocations"] | change.get("allocations", {})
        return read_scenario(document)

    def become(self, scenario: Scenario) -> None:
        """Take on another state; counts of faults are kept unless the faults are others."""
        if scenario.faults != self.scenario.faults:
            self.switchboard = Switchboard(scenario.faults)
        self.scenario = scenario
