#!/bin/sh
# The tables of docs/results.md on learned policies: for each data set the harm table, each method within it for the same
# time, and all of them on the same fresh seeds beside the free ones.
# usage: scripts/policy-tables.sh target/release/nightsweep FOLDER [BUDGET [SEEDS [EPOCHS]]]
set -eu
binary=$1 folder=$2 budget=${3:-10m} seeds=${4:-5} epochs=${5:-15}
mkdir -p "$folder"

# What trains the children; cifar is a third of its training images, as a reduced set.
table() { # name, data, further words
    name=$1 data=$2
    shift 2
    "$binary" policy harm "$data" "$@" --epochs "$epochs" -o "$folder/$name-harm.toml" --picture "$folder/$name-harm.png" \
        > "$folder/$name-harm.txt"
    policies=none,flip+crop,rand_augment+crop,trivial_augment+crop,trivial_augment+flip+crop
    for method in density relaxed rand_augment controller; do
        "$binary" policy learn "$data" "$@" --epochs "$epochs" --method $method --within "$folder/$name-harm.toml" \
            --budget "$budget" -o "$folder/$name-$method.toml" > "$folder/$name-$method.txt"
        policies=$policies,$folder/$name-$method.toml+crop
    done
    "$binary" policy compare "$data" "$@" --epochs "$epochs" --policies "$policies" --seeds "$seeds" \
        --json "$folder/$name.json" > "$folder/$name.txt"
    tail -12 "$folder/$name.txt"
}

table arrows arrows-and-disks --model convnet
table fashion fashion-mnist-mini --model resnet8
if [ -f ../shared/data/cifar10_15k.npz ]; then
    table cifar ../shared/data/cifar10_15k.npz --model resnet8 --reduced 4000
fi
