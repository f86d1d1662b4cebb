"""Adds a version of an image to a tree that a simplestreams server would serve.

simplestreams_tree.py DIRECTORY VERSION ALIASES ROOTFS [FORM…]: ALIASES with commas between; ROOTFS is the folder with the
root filesystem; FORM is squashfs or root.tar.xz, both without any. Prints the fingerprint of each form.
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

directory, version, aliases, rootfs = sys.argv[1:5]
forms = sys.argv[5:] or ["squashfs", "root.tar.xz"]
files = {"squashfs": "root.squashfs", "root.tar.xz": "root.tar.xz"}
sums = {"squashfs": "combined_squashfs_sha256", "root.tar.xz": "combined_rootxz_sha256"}
architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True).stdout.strip()
machine = os.uname().machine
place = "images/test/" + version
os.makedirs(os.path.join(directory, place), exist_ok=True)
os.makedirs(os.path.join(directory, "streams/v1"), exist_ok=True)


def item(name, kind):
    with open(os.path.join(directory, place, name), "rb") as file:
        content = file.read()
    return content, {"ftype": kind, "path": place + "/" + name, "size": len(content),
                     "sha256": hashlib.sha256(content).hexdigest()}


with tempfile.TemporaryDirectory() as parts:
    os.mkdir(parts + "/templates")
    with open(parts + "/templates/hostname.tpl", "w") as file:
        file.write("{{ container.name }}\n")
    with open(parts + "/metadata.yaml", "w") as file:
        file.write("architecture: %s\ncreation_date: 1700000000\nproperties: {os: Test, release: '%s'}\n"
                   "templates:\n  /etc/hostname: {when: [create, copy], template: hostname.tpl}\n" % (machine, version))
    subprocess.run(["tar", "-C", parts, "-cJf", os.path.join(directory, place, "lxd.tar.xz"), "metadata.yaml", "templates"],
                   check=True)
metadata, items = item("lxd.tar.xz", "lxd.tar.xz")
items = {"lxd.tar.xz": items}
for form in forms:
    path = os.path.join(directory, place, files[form])
    if form == "squashfs":
        tar = subprocess.run(["tar", "-C", rootfs, "-c", "."], capture_output=True, check=True).stdout
        subprocess.run(["tar2sqfs", "-q", "-f", path], input=tar, check=True)
    else:
        subprocess.run(["tar", "-C", rootfs, "-cJf", path, "."], check=True)
    content, items[files[form]] = item(files[form], form)
    items["lxd.tar.xz"][sums[form]] = hashlib.sha256(metadata + content).hexdigest()
    print(items["lxd.tar.xz"][sums[form]])

index = os.path.join(directory, "streams/v1/index.json")
products = os.path.join(directory, "streams/v1/images.json")
name = "test:%s:default" % architecture
with open(index, "w") as file:
    json.dump({"format": "index:1.0", "index": {"images": {"datatype": "image-downloads", "path": "streams/v1/images.json",
                                                          "format": "products:1.0", "products": [name]}}}, file)
try:
    with open(products) as file:
        tree = json.load(file)
except OSError:
    tree = {"format": "products:1.0", "datatype": "image-downloads", "content_id": "images", "products": {}}
product = tree["products"].setdefault(name, {"arch": architecture, "os": "Test", "versions": {}})
product["aliases"] = aliases
product["versions"][version] = {"items": items}
with open(products, "w") as file:
    json.dump(tree, file)
