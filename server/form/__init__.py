"""`nodegraph app`: a workflow as a form in the browser, made with Gradio."""
