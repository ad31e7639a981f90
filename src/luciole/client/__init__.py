"""A typed client of the service: `Luciole` and `AsyncLuciole` over HTTP.

```python
with Luciole("http://127.0.0.1:8000", key="lk_...") as service:
    job = service.wait(service.generate("anime girl walking in rain").job_id)
    picture = service.content(job.outputs[0])
```

`service.characters`, `.storyboards`, `.versions` and `.words` (prompts and styles) are about those.
`luciole.client.triton` asks Triton's `generate` model directly.
"""

from luciole.client.asynchronous import AsyncLuciole
from luciole.client.errors import (
    ApiError,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    Refused,
    ServiceUnavailable,
    Unauthenticated,
    Unreachable,
)
from luciole.client.records import (
    AcceptedJob,
    Asset,
    Event,
    Job,
    MadeFile,
    Me,
    NewKey,
    NewWebhook,
    Output,
    Page,
    Usage,
    Webhook,
)
from luciole.client.story_records import (
    Build,
    Character,
    Expanded,
    FoundCharacter,
    Frames,
    Parsed,
    SavedCharacter,
    Storyboard,
    Version,
)
from luciole.client.synchronous import Luciole

__all__ = [
    "AcceptedJob",
    "ApiError",
    "Asset",
    "AsyncLuciole",
    "Build",
    "Character",
    "Conflict",
    "Event",
    "Expanded",
    "FoundCharacter",
    "Frames",
    "Job",
    "Luciole",
    "MadeFile",
    "Me",
    "NewKey",
    "NewWebhook",
    "NotFound",
    "Output",
    "Page",
    "Parsed",
    "PermissionDenied",
    "RateLimited",
    "Refused",
    "SavedCharacter",
    "ServiceUnavailable",
    "Storyboard",
    "Unauthenticated",
    "Unreachable",
    "Usage",
    "Version",
    "Webhook",
]
