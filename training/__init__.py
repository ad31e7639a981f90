"""Training: one LightningModule per question, put together by conf/."""
