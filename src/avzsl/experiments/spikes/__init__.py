"""Spikes of a trained model on its test set: rates, operations, and what they would cost a chip.

Nothing here is measured in seconds or joules.
"""

from avzsl.experiments.spikes.records import SpikeSurvey as SpikeSurvey
from avzsl.experiments.spikes.survey import survey_spikes as survey_spikes
