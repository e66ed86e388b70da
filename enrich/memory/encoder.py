"""A static embedding model out of a local folder: no network, no download, no code of the model's own.

The library is an extra (`semantic`) and is imported only when something has to be encoded.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIBRARY = "model2vec"
# The layouts the library reads from a folder; where none is whole, it would look for the model on the network instead.
_LAYOUTS = (
    ("config.json", "model.safetensors", "tokenizer.json"),
    ("config_sentence_transformers.json", "model.safetensors", "tokenizer.json"),
    ("config_sentence_transformers.json", "0_StaticEmbedding/model.safetensors", "0_StaticEmbedding/tokenizer.json"),
)
_INSTALL = 'Install the extra: .venv/bin/python -m pip install --no-build-isolation -e ".[semantic]"'
_OFF = "or take the `semantic:` block out of recall.yml."

Encode = Callable[[Sequence[str]], "NDArray[np.floating[Any]]"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """What turns texts into vectors.

    Attributes:
        identity: sha256 over the model's files: other files are another model.
        encode: Texts to an array of shape (texts, dimensions); all zeros where the model knows none of the words.
            Must give a text the same vector whatever other texts come with it.
    """

    identity: str
    encode: Encode = field(repr=False)


def open_folder(folder: Path) -> Encoder:
    """The encoder of the model in `folder`; its vectors are loaded at the first text.

    Raises:
        NightdeskError: The folder or one of its files is missing, or the extra is not installed.
    """
    files = _files(folder)
    if importlib.util.find_spec(LIBRARY) is None:
        raise NightdeskError(
            f"Semantic recall is switched on, and its library `{LIBRARY}` is not installed",
            where="semantic in recall.yml",
            todo=f"{_INSTALL}, {_OFF}",
        )
    digest = hashlib.sha256()
    for name in files:
        with (folder / name).open("rb") as file:
            digest.update(f"{name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    loaded: list[Any] = []

    def encode(texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        if not loaded:
            loaded.append(_load(folder))
        return loaded[0].encode(list(texts), use_multiprocessing=False)

    return Encoder(digest.hexdigest(), encode)


def _files(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise NightdeskError(
            "Semantic recall is switched on, and the folder of its model is missing",
            where=str(folder),
            todo=f"Put a static embedding model there (config, tokenizer, vectors as .safetensors), {_OFF}",
        )
    for layout in _LAYOUTS:
        if all((folder / name).is_file() for name in layout):
            return layout
    raise NightdeskError(
        "The folder of the model for semantic recall holds no static embedding model",
        where=str(folder),
        todo=f"It needs {', '.join(_LAYOUTS[0])}: complete it, {_OFF}",
    )


def _load(folder: Path) -> Any:
    library = importlib.import_module(LIBRARY)
    try:
        return library.StaticModel.from_pretrained(folder, force_download=False)
    # Three libraries read the files, each with errors of its own; whichever it is, the model cannot be used.
    except Exception as error:
        raise NightdeskError(
            f"The model for semantic recall cannot be read: {type(error).__name__}: {error}",
            where=str(folder),
            todo=f"Put a whole static embedding model there, {_OFF}",
        ) from error
