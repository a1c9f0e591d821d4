"""Compares event files with the same study as JSON, by TensorBoard's own reader (pip install tensorboard):

    nightsweep export --format tensorboard -o events && nightsweep export --format json -o trials.json
    python scripts/check-tensorboard.py events trials.json

    python scripts/check-tensorboard.py --golden store/src/tensorboard/golden.tfevents

The second form writes the file that the tests compare ours with, by TensorBoard's own writer.
"""
import json
import pathlib
import sys

from google.protobuf import struct_pb2
from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def plugin_value(tag, data):
    return summary_pb2.Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def golden(path):
    """A trial as the test has it: started, two epochs, complete."""
    start = plugin_data_pb2.SessionStartInfo(group_name="trial-3", start_time_secs=1790000000.25)
    # One alone: the order of several is not fixed.
    start.hparams["optimizer.sgd.lr"].CopyFrom(struct_pb2.Value(number_value=0.1))
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=1790000004)
    scalar = lambda tag, it: summary_pb2.Summary.Value(tag=tag, simple_value=it)
    summary = lambda *values: summary_pb2.Summary(value=values)
    events = [
        event_pb2.Event(wall_time=1790000000.25, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=1790000000.25, summary=summary(
            plugin_value(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=start)))),
        event_pb2.Event(wall_time=1790000001.5, step=1, summary=summary(
            scalar("train_loss", 0.1), scalar("val_accuracy", 0.75))),
        event_pb2.Event(wall_time=1790000003, step=2, summary=summary(
            scalar("train_loss", 0.0), scalar("val_accuracy", 0.8125))),
        event_pb2.Event(wall_time=1790000004, summary=summary(
            plugin_value(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end)))),
    ]
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))


def plain(value):
    return getattr(value, value.WhichOneof("kind"))


def check(folder, trials):
    folder = pathlib.Path(folder)
    [file] = folder.glob("*tfevents*")
    [_, experiment] = list(event_file_loader.EventFileLoader(str(file)).Load())
    [value] = experiment.summary.value
    experiment = metadata.parse_experiment_plugin_data(value.metadata.plugin_data.content)
    metric = experiment.metric_infos[0].name.tag
    scalars = 0
    for trial in trials:
        [file] = (folder / f"trial-{trial['number']}").glob("*tfevents*")
        run = event_accumulator.EventAccumulator(str(file), size_guidance={event_accumulator.TENSORS: 0}).Reload()
        hparams = run.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        start = metadata.parse_session_start_info_plugin_data(hparams)
        assert {name: plain(it) for name, it in start.hparams.items()} == trial["params"], trial
        has_ended = metadata.SESSION_END_INFO_TAG in run.Tags()["tensors"]
        assert has_ended == (trial["state"] in ("complete", "pruned", "failed", "lost")), trial
        tags = [tag for tag in run.Tags()["tensors"] if not tag.startswith("_hparams_")] + run.Tags()["scalars"]
        assert trial["steps"] == 0 or metric in tags, tags
        for tag in tags:
            points = run.Tensors(tag) if tag in run.Tags()["tensors"] else run.Scalars(tag)
            assert [point.step for point in points] == list(range(1, trial["steps"] + 1)), (trial, tag)
            scalars += len(points)
            if tag == metric:
                last = points[-1].tensor_proto.float_val[0] if hasattr(points[-1], "tensor_proto") else points[-1].value
                assert abs(last - trial["last_value"]) <= 1e-6 * abs(trial["last_value"]), trial
    print(f"{experiment.name}: {len(trials)} trials, {scalars} scalars by {metric}: as TensorBoard reads them")


if sys.argv[1] == "--golden":
    golden(sys.argv[2])
else:
    check(sys.argv[1], json.load(open(sys.argv[2])))
