#!/bin/sh
# The tables of docs/results.md on learned policies: for each data set the harm table, each method within it for the same
# time, and all of them on the same fresh seeds beside the free ones, held against none and against TrivialAugment.
# usage: scripts/policy-tables.sh target/release/nightsweep FOLDER [BUDGET [SEEDS [EPOCHS [DATA…]]]]
#   BUDGET  of each method, as 60s (default 10m); SEEDS 5; EPOCHS of each training 15
#   DATA    of arrows, fashion and cifar; all of them if left out
#   DEVICE  in the environment says where to compute, as cpu:1: then several data sets can run side by side
set -eu
binary=$1 folder=$2 budget=${3:-10m} seeds=${4:-5} epochs=${5:-15}
shift $(($# < 5 ? $# : 5))
mkdir -p "$folder"

table() { # name, data, further words
    name=$1 data=$2
    shift 2
    set -- "$@" ${DEVICE:+--device "$DEVICE"}
    # Twice the epochs, as half of the child's images are plain.
    "$binary" policy harm "$data" "$@" --epochs $((2 * epochs)) -o "$folder/$name-harm.toml" \
        --picture "$folder/$name-harm.png" > "$folder/$name-harm.txt"
    policies=none,flip+crop,rand_augment+crop,trivial_augment+crop
    for method in density relaxed rand_augment controller pba; do
        # Some find nothing in a short time, which is told and ends nothing.
        if "$binary" policy learn "$data" "$@" --epochs "$epochs" --method $method --within "$folder/$name-harm.toml" \
            --budget "$budget" -o "$folder/$name-$method.toml" > "$folder/$name-$method.txt"; then
            policies=$policies,$folder/$name-$method.toml+crop
        else
            echo "$method has found nothing"
        fi
    done
    "$binary" policy compare "$data" "$@" --epochs "$epochs" --policies "$policies" --seeds "$seeds" \
        --against none,trivial_augment+crop --json "$folder/$name.json" > "$folder/$name.txt"
    # From the table's head on.
    sed -n '/^| policy /,$p' "$folder/$name.txt"
}

for name in ${*:-arrows fashion cifar}; do
    echo "$name: $seeds seeds, $epochs epochs, $budget for each method"
    case $name in
        arrows) table arrows arrows-and-disks --model convnet ;;
        fashion) table fashion fashion-mnist-mini --model convnet ;;
        # A fifth of its training images, as a reduced set.
        cifar) table cifar ../shared/data/cifar10_15k.npz --model convnet --reduced 3000 ;;
        *) echo "there is no $name: arrows, fashion or cifar" >&2 && exit 1 ;;
    esac
done
