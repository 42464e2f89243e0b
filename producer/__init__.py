"""The producer: click events into Kafka, generated or a user's own, with the ground truth of what was sent."""
