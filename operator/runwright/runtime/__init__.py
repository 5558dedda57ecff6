"""What turns decisions into effects: queue, store, worker, resync."""
