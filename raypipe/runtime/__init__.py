"""The jobs, each in a room of its own, and what they share: the only rooms that import ray.

===============  ================================================================================
room             what
===============  ================================================================================
``ray``          a session on a cluster, tasks in order, what Ray's errors mean
``finish``       what every job does with its tables: record, counts, reduce, report, progress
``infer``        shards through a model: questions, answers, predictions
``ingest``       a corpus into shards
``reaggregate``  a finished run's answers read again, without a model
===============  ================================================================================
"""
