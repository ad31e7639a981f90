"""The HTTP face of the platform: thin routes over a renderer."""
