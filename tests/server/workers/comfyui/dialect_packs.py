"""The packs of the small server of ComfyUI's dialect: their scripts, files and routes."""

import json

from aiohttp import web

SCRIPT = """
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { label } from "./more/words.js";

app.registerExtension({
    name: "foreign.buttons",
    async beforeRegisterNodeDef(nodeType, nodeData) {
        if (nodeData.name !== "ForeignSteps") return;
        const words = await (await api.fetchApi("/impact/wildcards/list")).json();
        const created = nodeType.prototype.onNodeCreated;
        nodeType.prototype.onNodeCreated = function () {
            created?.apply(this, arguments);
            this.addWidget("button", label(words), null, () => {});
        };
    },
    setup() {
        window.foreignTold = [];
        api.addEventListener("foreign.told", ({detail}) => window.foreignTold.push(detail));
    },
});
"""
ELSEWHERE = "http://127.0.0.1:1/"
FILES = {
    "Foreign Pack/js/foreign.js": SCRIPT.replace("../../", "../../../"),
    "Foreign Pack/js/more/words.js": "export const label = words => `wild: ${words.join()}`;",
    "Foreign Pack/style.css": "body { color: red }",
    "Foreign Pack/page.html": "<script>alert(1)</script>",
    "Foreign Pack/icon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "mine/it.js": "export const whose = 'theirs';",
    "ComfyUI-Manager/manager.js": "",
    "core/theirs.js": "",
}


def listed():
    """The answer of `/extensions`: the scripts, and what is no script's path."""
    odd = ["/extensions/../x.js", "/extensions/a/../b.js", "/x/y.js", "/extensions/a/b.css", 3]
    return [*(f"/extensions/{name}" for name in FILES if name.endswith(".js")), *odd]


class Packs:
    """Their routes.

    Args:
        folder: a file `seen.txt` there says what was asked, with which headers.
    """

    def __init__(self, folder):
        self.folder = folder

    def add(self, app):
        app.router.add_get("/extensions", self.extensions)
        app.router.add_get("/extensions/{name:.+}", self.file)
        app.router.add_get("/impact/{rest:.*}", self.answer)
        app.router.add_get("/manager/reboot", self.answer)
        app.router.add_post("/impact/wildcards/list", self.answer)

    def note(self, request):
        with (self.folder / "seen.txt").open("a") as file:
            about = [request.method, request.raw_path, dict(request.headers)]
            file.write(json.dumps(about) + "\n")

    def seen(self):
        return [json.loads(line) for line in (self.folder / "seen.txt").read_text().splitlines()]

    async def extensions(self, _request):
        return web.json_response(listed())

    async def file(self, request):
        self.note(request)
        text = FILES.get(request.match_info["name"])
        if text is None:
            raise web.HTTPNotFound
        return web.Response(text=text, content_type="text/html", headers={"Set-Cookie": "a=b"})

    async def answer(self, request):
        self.note(request)
        rest = request.match_info.get("rest")
        if rest == "wildcards/list":
            return web.json_response(["__a__", "__b__"], headers={"Set-Cookie": "a=b"})
        if rest == "page":
            return web.Response(text="<script>alert(1)</script>", content_type="text/html")
        if rest == "away":
            raise web.HTTPFound(ELSEWHERE)
        return web.Response(body=bytes(33 * 2**20)) if rest == "long" else web.json_response({})
