"""Work that runs by itself: the queue, the schedule, the worker. What a job does is in `services` and below."""
