"""The mathematics of training: schedules, losses, averages."""
