"""Methods: one file each. Importing this room files every one of them in `avzsl.methods._base.METHODS`."""

from avzsl.methods import ridge as ridge
from avzsl.methods import stft as stft
