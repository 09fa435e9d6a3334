"""Values for the parameters in the paths of HTTP resources, so that each path leads to something."""

PARAMETERS = {
    "file": "main.js",
    "word": "fox",
    "key": "fox",
    "store": "word-count",
    "from": "a",
    "to": "z",
    "size": "1m",
}
