"""A small server of ComfyUI's dialect, in a process of its own that can be killed.

It computes one prompt after the other, keeps queue and history in memory, as ComfyUI does, and
writes a line into `log.txt` of its folder when it begins a prompt and when it ends one.
"""

import asyncio
import io
import json
import struct
import sys
import uuid
from pathlib import Path

from aiohttp import WSMsgType, web
from PIL import Image, ImageOps

sys.path.append(str(Path(__file__).parents[4]))
from tests.server.workers.comfyui.dialect_packs import Packs


def described(required, outputs=(), *, output_node=False, module="custom_nodes.foreign"):
    return {
        "input": {"required": required},
        "input_order": {"required": [*required]},
        "output": [*outputs],
        "output_is_list": [False for _ in outputs],
        "output_name": [*outputs],
        "name": "",
        "display_name": "",
        "description": "",
        "python_module": module,
        "category": "foreign",
        "output_node": output_node,
    }


class InterruptionError(Exception):
    pass


class Dialect:
    def __init__(self, folder, token=""):
        self.folder = folder
        self.token = token
        self.pending = []
        self.running = None
        self.history = {}
        self.files = {}
        self.sockets = {}
        self.interrupted = False
        self.number = 0
        self.count = 0
        self.changed = asyncio.Event()
        self.files["input", "", "theirs.png"] = as_png(Image.new("RGB", (4, 4), (0, 0, 255)))

    def log(self, *words):
        with (self.folder / "log.txt").open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def types(self):
        uploads = sorted(name for kind, sub, name in self.files if (kind, sub) == ("input", ""))
        models = (self.folder / "models.txt").read_text().split()
        return {
            "ForeignSteps": described(
                {
                    "value": ["INT", {"default": 0}],
                    "count": ["INT", {"default": 1, "min": 1}],
                    "seconds": ["FLOAT", {"default": 0.01}],
                },
                ["INT"],
            ),
            "ForeignStates": described(
                {"value": ["INT", {"default": 0}], "count": ["INT", {"default": 1}]}, ["INT"]
            ),
            "ForeignFile": described(
                {"value": ["INT", {}], "prefix": ["STRING", {"default": "foreign"}]},
                output_node=True,
            ),
            "ForeignInvert": described(
                {"image": [["theirs.png"], {"image_upload": True}]}, ["IMAGE"]
            ),
            "ForeignModel": described({"name": [models, {}]}, ["IMAGE"]),
            "ForeignLatent": described({"latent": [uploads]}, output_node=True),
            "ForeignPath": described(
                {"path": ["STRING", {}], "text": ["STRING", {"multiline": True, "default": ""}]},
                ["STRING"],
            ),
            "ForeignFail": described({"value": ["INT", {}]}, output_node=True),
            "ForeignShow": described(
                {"output": ["STRING", {"multiline": True}], "files": ["STRING", {"default": ""}]},
                output_node=True,
            ),
            "EmptyImage": described(
                {
                    "width": ["INT", {"default": 512, "min": 1, "max": 16384}],
                    "height": ["INT", {"default": 512, "min": 1, "max": 16384}],
                    "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
                    "color": ["INT", {"default": 0, "min": 0, "max": 16777215}],
                },
                ["IMAGE"],
                module="nodes",
            ),
            "SaveImage": described(
                {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
                output_node=True,
                module="nodes",
            ),
            "ToyNumber": described({"value": ["INT", {"default": 1}]}, ["INT"]),
            "ToyShow": described({"a": ["INT", {}]}, output_node=True),
        }

    async def send(self, client, kind, data):
        for socket in self.sockets.get(client, ()):
            await socket.send_json({"type": kind, "data": data})

    async def work(self):
        while True:
            while not self.pending:
                self.changed.clear()
                await self.changed.wait()
            self.running = self.pending.pop(0)
            self.interrupted = False
            await self.execute(*self.running[1:])
            self.running = None

    async def execute(self, prompt_id, prompt, extra, targets):
        client = extra.get("client_id", "")
        about = {"prompt_id": prompt_id, "timestamp": 1}
        self.log("begin", prompt_id)
        messages = [["execution_start", about], ["execution_cached", {**about, "nodes": []}]]
        for name, data in messages:
            await self.send(client, name, data)
        outputs, values, node_id = {}, {}, ""
        status = "success"
        try:
            for node_id in ordered(prompt, targets):
                await self.send(
                    client,
                    "executing",
                    {"node": node_id, "display_node": node_id, "prompt_id": prompt_id},
                )
                node = prompt[node_id]
                inputs = {
                    name: values[value[0]] if isinstance(value, list) else value
                    for name, value in node["inputs"].items()
                }
                values[node_id], ui = await self.run_node(
                    node["class_type"], inputs, node_id, prompt_id, client
                )
                if ui:
                    outputs[node_id] = ui
                    await self.send(
                        client,
                        "executed",
                        {
                            "node": node_id,
                            "display_node": node_id,
                            "output": ui,
                            "prompt_id": prompt_id,
                        },
                    )
            last = ["execution_success", about]
        except InterruptionError:
            status = "error"
            last = ["execution_interrupted", {**about, "node_id": node_id, "executed": []}]
        except ValueError as error:
            status = "error"
            last = [
                "execution_error",
                {
                    **about,
                    "node_id": node_id,
                    "node_type": prompt[node_id]["class_type"],
                    "exception_type": "ValueError",
                    "exception_message": str(error),
                    "traceback": ["line 1\n"],
                    "current_inputs": {"value": [3]},
                    "current_outputs": [],
                    "executed": [],
                },
            ]
        await self.send(client, *last)
        self.history[prompt_id] = {
            "prompt": [0, prompt_id, prompt, extra, targets],
            "outputs": outputs,
            "status": {
                "status_str": status,
                "completed": status == "success",
                "messages": [*messages, last],
            },
        }
        self.log("end", prompt_id, status)
        await self.send(client, "executing", {"node": None, "prompt_id": prompt_id})

    async def run_node(self, kind, inputs, node_id, prompt_id, client):
        """Return a node's value, and its output if it has one to show."""
        if kind == "ForeignStates":
            more = {**inputs, "seconds": 0.01, "plain": False}
            return await self.take_steps(more, node_id, prompt_id, client), None
        if kind == "ForeignSteps":
            return await self.take_steps(inputs, node_id, prompt_id, client), None
        return getattr(self, f"run_{kind.lower()}")(**inputs)

    async def take_steps(self, inputs, node_id, prompt_id, client):
        about = {"node": node_id, "prompt_id": prompt_id}
        for step in range(inputs["count"]):
            await asyncio.sleep(inputs["seconds"])
            if self.interrupted:
                raise InterruptionError
            await self.send(client, "foreign.told", {"step": step})
            count = {"value": step + 1, "max": inputs["count"]}
            if inputs.get("plain", True):
                await self.send(client, "progress", {**about, **count})
            state = {**count, "state": "running", "node_id": node_id, "prompt_id": prompt_id}
            told = {"prompt_id": prompt_id, "nodes": {node_id: state}}
            await self.send(client, "progress_state", told)
            await self.preview(client, node_id, prompt_id, step)
        return inputs["value"]

    def run_foreignfile(self, value, prefix):
        return None, {"text_files": [self.keep(prefix, "txt", value)]}

    def run_foreigninvert(self, image):
        folder, _, name = image.rpartition("/")
        data = self.files["input", folder, name]
        return ImageOps.invert(Image.open(io.BytesIO(data)).convert("RGB")), None

    def run_foreignlatent(self, latent):
        return None, {"size": [len(self.files["input", "", latent])]}

    def run_foreignpath(self, path, text):
        folder, _, name = path.removeprefix("input/").rpartition("/")
        size = len(self.files.get(("input", folder, name), b""))
        return f"{path}: {size} {text}", None

    def run_foreignfail(self, value):
        message = f"no {value}"
        raise ValueError(message)

    def run_foreignshow(self, output, files):
        for place, text in json.loads(files or "{}").items():
            self.files[tuple(place.split("|"))] = text.encode()
        return None, json.loads(output)

    def run_toynumber(self, value):
        return value, None

    def run_toyshow(self, a):
        return None, {"text": [f"{a} there"]}

    def run_emptyimage(self, width, height, **_):
        return Image.new("RGB", (width, height)), None

    def run_saveimage(self, images, filename_prefix):
        return None, {"images": [self.keep(filename_prefix, "png", as_png(images))]}

    def keep(self, prefix, suffix, value):
        self.count += 1
        folder, _, stem = prefix.rpartition("/")
        name = f"{stem}_{self.count:05}_.{suffix}"
        data = value if isinstance(value, bytes) else f"{value}\n".encode()
        self.files["output", folder, name] = data
        return {"filename": name, "subfolder": folder, "type": "output"}

    async def preview(self, client, node_id, prompt_id, step):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), (40 * step % 256, 120, 200)).save(buffer, "JPEG")
        facts = {"node_id": node_id, "prompt_id": prompt_id, "display_node_id": node_id}
        text = json.dumps({**facts, "image_type": "image/jpeg"}).encode()
        frame = struct.pack(">II", 4, len(text)) + text + buffer.getvalue()
        for socket in self.sockets.get(client, ()):
            await socket.send_bytes(frame)


def as_png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def ordered(prompt, targets):
    order = {}

    def visit(node_id):
        for value in prompt[node_id]["inputs"].values():
            if isinstance(value, list):
                visit(value[0])
        order[node_id] = None

    for target in targets:
        visit(target)
    return list(order)


class Routes:
    """The routes that a program needs to have prompts computed."""

    def __init__(self, dialect):
        self.dialect = dialect

    def application(self):
        app = web.Application(middlewares=[self.guard], client_max_size=2**30)
        app.router.add_get("/object_info", self.object_info)
        app.router.add_get("/queue", self.get_queue)
        app.router.add_post("/queue", self.post_queue)
        app.router.add_post("/interrupt", self.interrupt)
        app.router.add_post("/free", self.free)
        app.router.add_get("/history/{prompt}", self.history)
        app.router.add_post("/prompt", self.prompt)
        app.router.add_post("/upload/image", self.upload)
        app.router.add_get("/view", self.view)
        app.router.add_get("/ws", self.websocket)
        Packs(self.dialect.folder).add(app)
        return app

    @web.middleware
    async def guard(self, request, handler):
        sent = request.headers.get("Authorization", "")
        if self.dialect.token and sent != f"Bearer {self.dialect.token}":
            raise web.HTTPUnauthorized
        unwell = self.dialect.folder / "unwell.txt"
        start, _, status = unwell.read_text().partition(" ") if unwell.exists() else ("-", "", "")
        if request.path.startswith(start):
            return web.Response(status=int(status))
        return await handler(request)

    async def object_info(self, _request):
        return web.json_response(self.dialect.types())

    async def get_queue(self, _request):
        running = [self.dialect.running] if self.dialect.running else []
        return web.json_response({"queue_running": running, "queue_pending": self.dialect.pending})

    async def post_queue(self, request):
        wanted = (await request.json()).get("delete", [])
        self.dialect.pending = [item for item in self.dialect.pending if item[1] not in wanted]
        return web.Response()

    async def interrupt(self, _request):
        """Interrupt whatever runs, as older versions do."""
        self.dialect.interrupted = True
        return web.Response()

    async def free(self, request):
        self.dialect.log("free", json.dumps(await request.json()))
        return web.Response()

    async def history(self, request):
        name = request.match_info["prompt"]
        found = self.dialect.history.get(name)
        return web.json_response({name: found} if found else {})

    async def prompt(self, request):
        body, types, dialect = await request.json(), self.dialect.types(), self.dialect
        prompt = body["prompt"]
        if refused := refusals(prompt, types):
            error = {"type": "prompt_outputs_failed_validation", "message": "refused"}
            return web.json_response({"error": error, "node_errors": refused}, status=400)
        chooses = (dialect.folder / "chooses.txt").exists()
        name = body["prompt_id"] if "prompt_id" in body and not chooses else str(uuid.uuid4())
        extra = {**body.get("extra_data", {}), "client_id": body.get("client_id", "")}
        targets = body.get("partial_execution_targets") or [
            key for key, node in prompt.items() if types[node["class_type"]]["output_node"]
        ]
        dialect.number += 1
        dialect.log("prompt", name, json.dumps(prompt))
        dialect.pending.append([dialect.number, name, prompt, extra, targets])
        dialect.changed.set()
        await asyncio.sleep(0.2 * chooses)
        return web.json_response({"prompt_id": name, "number": dialect.number, "node_errors": {}})

    async def upload(self, request):
        form = await request.post()
        image, folder = form["image"], form.get("subfolder", "")
        self.dialect.files["input", folder, image.filename] = image.file.read()
        said = {"name": image.filename, "subfolder": folder, "type": form.get("type")}
        return web.json_response(said)

    async def view(self, request):
        query = request.query
        place = query["type"], query["subfolder"], query["filename"]
        if place not in self.dialect.files:
            raise web.HTTPNotFound
        return web.Response(body=self.dialect.files[place])

    async def websocket(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self.dialect.sockets.setdefault(client, set()).add(socket)
        await socket.send_json({"type": "status", "data": {"sid": client}})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.dialect.log("flags", message.data)
        self.dialect.sockets[client].discard(socket)
        return socket


def refusals(prompt, types):
    """The problems of the nodes whose model is not there, in ComfyUI's form."""
    models = types["ForeignModel"]["input"]["required"]["name"][0]
    problem = {"message": "Value not in list", "details": "name"}
    return {
        node_id: {"errors": [problem], "class_type": "ForeignModel"}
        for node_id, node in prompt.items()
        if node["class_type"] == "ForeignModel" and node["inputs"]["name"] not in models
    }


async def main(folder, port, token):
    dialect = Dialect(Path(folder), token)
    runner = web.AppRunner(Routes(dialect).application(), shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(port), reuse_address=True)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await dialect.work()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
