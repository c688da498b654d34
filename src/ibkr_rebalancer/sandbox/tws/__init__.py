"""The TWS socket protocol, the gateway's side, at server version 178."""
