"""Export models: ONNX, SavedModel, LiteRT, a web page; int8 versions; publishing; import of other networks.

| function | result |
|---|---|
| `musiczoo.export.run.export_run` | a training run as SavedModel and ONNX |
| `musiczoo.export.litert.export_litert` | a training run as LiteRT |
| `musiczoo.export.publish.publish` | an export in a zoo, so that it loads by name |
| `musiczoo.export.quantize.quantize` | the int8 version of a published model |
| `musiczoo.export.web.export_web` | a published model as a web page |
| `musiczoo.export.musicnn.import_musicnn` | the networks of the musicnn wheel as models |
"""
