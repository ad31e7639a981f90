"""The service: a gateway that takes requests, and the servers it keeps running; never torch."""
