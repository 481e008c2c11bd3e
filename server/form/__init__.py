"""A page for people without a graph: a workflow as a form, with Gradio (`nodegraph app`)."""
