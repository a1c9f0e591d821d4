#!/usr/bin/env bash
# Checks a prebuilt binary on a machine with an NVIDIA GPU and CUDA, without Rust and without a network:
#
#     scripts/gpu-check.sh path/to/nightsweep
#
# Prints what doctor finds, a short training on the GPU and on the CPU, images per second beside PyTorch's for the same
# network and batch (where python3 has torch with CUDA), and a short sweep with two workers on the first GPU. What it
# prints belongs into docs/results.md. Takes some eight minutes; exits with 1 if something failed.
set -uo pipefail

binary=$(readlink -f "${1:?usage: gpu-check.sh path/to/nightsweep}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
section() { printf '\n== %s\n' "$1"; }
check() { "$@" || { echo "FAILED: $*"; failed=1; }; }

section "machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
nproc

section "doctor"
check "$binary" doctor

recipe() { # model, batch size, epochs, precision
    cat <<END
seed = { study = 1, trial = 0 }
data = { path = "fashion-mnist-mini" }
[recipe]
model = { kind = "$1" }
batch_size = $2
epochs = $3
precision = "${4:-f32}"
optimizer = { kind = "sgd", lr = 0.05 }
END
}

section "the same short training on the GPU and on the CPU"
recipe resnet8 128 3 >short.toml
check timeout 300 "$binary" train short.toml --device cuda:0
check timeout 300 "$binary" train short.toml --device cpu

section "images per second on the GPU (the first epoch compiles kernels)"
# Dense peaks of an H100 or H200 SXM by NVIDIA's data sheets, TFLOP/s: f32 67, bf16 989. A step takes six operations for
# each product of a forward pass, of which a 28x28x1 image has so many million.
declare -A products=([resnet8]=9.145 [resnet20]=30.82 [resnet18]=455.8) peak=([f32]=67 [bf16]=989)
for model in resnet8 resnet20 resnet18; do
    for precision in f32 bf16; do
        recipe $model 256 4 $precision >speed.toml
        echo "nightsweep $model, batch 256, 28x28x1, $precision:"
        check timeout 300 "$binary" train speed.toml --device cuda:0 >speed.txt
        cat speed.txt
        awk -v products="${products[$model]}" -v peak="${peak[$precision]}" '/images\/s$/ { rate = $(NF - 1) }
            END { flops = 6e-6 * products * rate; printf "%.1f TFLOP/s, %.1f %% of the peak\n", flops, 100 * flops / peak }' speed.txt
    done
done

section "PyTorch, resnet18 with the small stem, batch 256, 28x28x1"
python3 - <<'END' || echo "no torch with CUDA here"
import time
import torch, torch.nn as nn
assert torch.cuda.is_available()

class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.down = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o)) if s != 1 or i != o else nn.Identity()
    def forward(self, x):
        y = self.b2(self.c2(torch.relu(self.b1(self.c1(x)))))
        return torch.relu(y + self.down(x))

def resnet18():
    layers, i = [nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for o, s in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        layers += [Block(i, o, s), Block(o, o, 1)]
        i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

def speed(name, precision, channels_last, compiled):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    net = resnet18().cuda()
    x = torch.randn(256, 1, 28, 28, device="cuda")
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    y = torch.randint(10, (256,), device="cuda")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    step_net = torch.compile(net) if compiled else net
    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            loss = nn.functional.cross_entropy(step_net(x), y)
        loss.backward()
        optimizer.step()
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(50):
        step()
    torch.cuda.synchronize()
    rate = 50 * 256 / (time.perf_counter() - begin)
    flops = 6 * 455.8e6 * rate / 1e12
    share = 100 * flops / {"f32": 67, "tf32": 495, "bf16": 989}[precision]
    print(f"torch {torch.__version__} {name}: {rate:.0f} images/s, {flops:.1f} TFLOP/s, {share:.1f} % of the peak", flush=True)

speed("f32 eager", "f32", False, False)
speed("tf32 eager", "tf32", False, False)
speed("bf16 channels-last eager", "bf16", True, False)
try:
    speed("bf16 channels-last compiled", "bf16", True, True)
except Exception as error:
    print("torch.compile:", type(error).__name__)
END

section "a sweep with two workers on the first GPU"
cat >sweep.toml <<'END'
[study]
name = "gpu-check"
trials = 8
[data]
path = "fashion-mnist-mini"
[recipe]
model = { kind = "resnet8" }
epochs = 3
[space]
batch_size = [64, 128, 256]
[space.optimizer.sgd]
lr = { low = 1e-3, high = 1.0, log = true }
[space.optimizer.adamw]
lr = { low = 1e-4, high = 1e-1, log = true }
[search]
sampler = "tpe"
pruner = { kind = "asha" }
END
check timeout 400 "$binary" run sweep.toml --devices cuda:0,cuda:0 --no-web
check "$binary" report
check "$binary" replay
exit $failed
