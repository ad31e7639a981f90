"""Pictures in OpenAI's shape, with the knobs of a diffusion model beside it."""
