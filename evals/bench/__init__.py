"""Speed against peers, measured in alternating rounds."""
