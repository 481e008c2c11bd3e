"""The page at `/` if the editor is not installed."""

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nodegraph</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem;
       color: #222; background: #fff }
code, pre { font-family: ui-monospace, monospace; background: #f2f2f2; border-radius: 4px }
code { padding: .1em .3em }
pre { padding: .8em 1em; overflow-x: auto }
a { color: #0b57d0 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b }
  code, pre { background: #2c2c2c }
  a { color: #8ab4f8 }
}
</style>
</head>
<body>
<h1>nodegraph is running</h1>
<p>It takes graphs over HTTP. ComfyUI's web editor can run on it too, but is not installed here:</p>
<pre>pip install "nodegraph[ui]"</pre>
<p>Then start <code>nodegraph serve</code> again and reload this page.</p>
<ul>
<li><a href="/v1/docs">The API for applications</a></li>
<li><a href="/queue">The queue</a> and <a href="/history">what has run</a>, as ComfyUI's clients
see them</li>
<li><a href="/object_info">The node types</a></li>
<li><a href="/readyz">Whether it is ready</a></li>
</ul>
</body>
</html>
"""
