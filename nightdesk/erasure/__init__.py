"""Erasure: takes one person out of every file of the data directory, for good, and can prove it afterwards.

It is a room of the conductor's because it reaches into every other room's files: the raw tables, the ledger of enrich
and of the write-back, the warehouse, what is published, and the logs.
"""
