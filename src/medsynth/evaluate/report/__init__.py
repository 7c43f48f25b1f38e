"""One page that a person wants to read, and the same numbers as JSON.

``metrics.json``, schema 1. ``null`` stands for what was not evaluated and for a number that is not defined.

* ``schema``, ``created`` (ISO 8601, UTC)
* ``data``: :class:`~medsynth.evaluate.subjects.DataSummary`
* ``audit``: :class:`medsynth.dataset.Audit`
* ``classifier`` and ``generator``:

  * ``model``: :class:`~medsynth.evaluate.subjects.ModelSummary`
  * ``images``, ``positive`` (name of the class; null for more than two), ``threshold``
  * ``interval``: ``level``, ``method``, ``unit`` (``image`` or ``group``), ``units``, ``resamples``, ``seed``
  * ``overall``: metric -> ``value``, ``low``, ``high``; of the positive class for a binary task, else the mean over
    classes. Metrics: ``loss``, ``accuracy``, ``balanced_accuracy``, ``f1``, ``precision``, ``recall``, ``auc``,
    ``average_precision``, ``mcc``, ``brier``, ``calibration_error``
  * ``per_class``: metric -> a list of the same, class by class
  * ``confusion``: counts, true classes down, decided ones across
  * ``roc``: class by class ``fpr``, ``tpr``, ``thresholds`` (the first is null: nothing is called positive),
    ``band`` (``low`` and ``high`` at the 101 false positive rates 0, 0.01, ... 1)
  * ``metrics``: :class:`~medsynth.evaluate.plugin_metrics.MetricRow` of plugins
  * of the classifier also ``reliability`` (class by class ``edges``, ``counts``, ``mean``, ``frequency``, ``low``,
    ``high``), ``precision_recall`` (class by class ``recall``, ``precision``, ``thresholds``, ``share``, ``band``),
    ``prevalence`` (``value``, ``stated``), ``operating_points`` (``name``, ``target``, ``chosen_on``, ``threshold``,
    ``prevalence``, and ``sensitivity``, ``specificity``, ``ppv``, ``npv``, ``called`` with intervals), ``groups``
    (null, or ``group``, ``images``, ``errors``, most errors first) and ``maps`` (``name``, ``why``, ``true``,
    ``decided``, ``probability``, ``method``)
  * likewise ``data``, ``same_data_as_training``, ``test_part_uses``, ``test_part_use_recorded`` and
    ``skipped``
  * of the generator also ``classifier`` (the model that judged), ``count``, ``seed``, ``features``, the
    :class:`~medsynth.evaluate.features.FeatureSpace` in which distances were measured, ``class_distance`` (``kid``
    between the real classes), ``answers`` (``question``, ``light``, ``sentence``), ``utility``
    (:class:`~medsynth.evaluate.utility.UtilityReport`) and ``privacy``: ``part``, ``train`` and ``held_out`` (counts),
    ``copies`` (how many), ``duplicates`` (held-out images that equal a training image), ``rows``
    (:class:`~medsynth.evaluate.privacy.PrivacyRow`) and ``lookalikes`` (``index`` of the generated image, ``name`` of
    the training image, ``space``, ``nearness``, ``copy``)

* ``references``: ``label``, ``note``, ``classifier`` and ``generator`` (metric -> value)
* ``provenance``: ``versions``, ``hardware``, ``plugins_left_out``
"""

from __future__ import annotations

from medsynth.evaluate.report.model import Provenance, Reference, Report
from medsynth.evaluate.report.write import HTML_NAME, JSON_NAME, write_report

__all__ = ["HTML_NAME", "JSON_NAME", "Provenance", "Reference", "Report", "write_report"]
