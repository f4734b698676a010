"""musicnn's MSD network as a frozen graph with the names that Essentia expects. Argument: the file to write."""

import sys
from pathlib import Path

import tensorflow as tf
from musicnn import configuration, models

FRAMES = 187  # of an excerpt of 3 s

tf1 = tf.compat.v1
tf1.disable_eager_execution()
with tf.name_scope("model"):
    patches = tf1.placeholder(tf.float32, [None, FRAMES, configuration.N_MELS])
    scores = models.define_model(patches, tf.constant(False), "MSD_musicnn", len(configuration.MSD_LABELS))[0]
    tags = tf.nn.sigmoid(scores)
with tf1.Session() as session:
    tf1.train.Saver().restore(session, str(Path(models.__file__).parent / "MSD_musicnn") + "/")
    frozen = tf1.graph_util.convert_variables_to_constants(session, session.graph_def, [tags.op.name])
Path(sys.argv[1]).write_bytes(frozen.SerializeToString())
print(patches.op.name, tags.op.name)
