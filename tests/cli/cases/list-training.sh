pare list optimizers; pare list schedules; pare list losses
