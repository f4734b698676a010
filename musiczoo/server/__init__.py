"""`musiczoo serve`: a library over HTTP, for the web page, for players' plugins and for programs.

- ``app``: the application: all routes, their errors, and what starts and ends with the server.
- ``settings``: what a server allows. ``state``: what its routes share.
- ``api``: the native API, version 1; ``schemas`` declares its requests and answers, and so its OpenAPI document.
- ``security``: who may ask, how much, and the headers of every answer.
- ``media``: audio of tracks, and their tags over time. ``catalog``: finding tracks by words.
- ``watch``: index what arrives in a folder.

It needs the extra ``musiczoo[serve]``.
"""
