"""Methods: one file each. Importing this room files every one of them in `METHODS`.

What a method of your own needs stands here too (docs/benchmark.md):

    from avzsl.methods import EmbeddingMethod, register
"""

from avzsl.methods import ale as ale
from avzsl.methods import apn as apn
from avzsl.methods import avca as avca
from avzsl.methods import avgzslnet as avgzslnet
from avzsl.methods import avmst as avmst
from avzsl.methods import cjme as cjme
from avzsl.methods import devise as devise
from avzsl.methods import eszsl as eszsl
from avzsl.methods import hyper_alignment as hyper_alignment
from avzsl.methods import hyper_multiple as hyper_multiple
from avzsl.methods import hyper_single as hyper_single
from avzsl.methods import mdft as mdft
from avzsl.methods import nearest as nearest
from avzsl.methods import ridge as ridge
from avzsl.methods import sje as sje
from avzsl.methods import stft as stft
from avzsl.methods import tcaf as tcaf
from avzsl.methods import vaegan as vaegan
from avzsl.methods._base import METHODS as METHODS
from avzsl.methods._base import EmbeddingMethod as EmbeddingMethod
from avzsl.methods._base import Method as Method
from avzsl.methods._base import register as register
from avzsl.methods._contract import check_method as check_method
from avzsl.methods._inputs import both_averaged as both_averaged
from avzsl.methods._own import use as use
