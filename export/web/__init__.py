"""A published model as a web page: a static folder, run in the browser by onnxruntime-web."""

from musiczoo.export.web.folder import export_web as export_web
