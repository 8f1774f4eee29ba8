#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - tests of the command line.
#
#   run.sh PARE golden [--update]  every cases/NAME.sh gives NAME.stdout, NAME.stderr, NAME.exit
#   run.sh PARE examples           every example of every command's --help runs
#   run.sh PARE errors             every command refuses bad options, bad files and full disks
#
# Commands are those of `pare list commands --json`, so that a new one is tested by being there.
# Each run happens in a fresh copy of a folder with
#   model.onnx small.onnx   a ResNet-20 for 3x32x32 and 10 classes, and a pruned copy of it
#   duo.onnx                a network with a class head and a mask head for 3x48x48
#   cifar10/ data/          a few images each; data/ is made by `pare synth` where there is one
# Expected files are compared as they are, then line by line as shell patterns; a line "..." stands
# for any number of lines. A missing .stdout or .stderr means that nothing is printed, a missing
# .exit means 0.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
PARE_SOURCE=$(cd "$here/../.." && pwd)
export PARE_SOURCE
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
failures=0
checks=0

die() {
    echo "run.sh: $*" >&2
    exit 1
}

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# --- The folder every run starts from ---

# $1 images with labels 1 to 9 in CIFAR-10's format, without zero bytes: awk may not print them.
make_images() {
    awk -v n="$1" 'BEGIN {
        srand(7)
        for (i = 0; i < n; i++) {
            label = 1 + i % 9
            printf "%c", label
            for (k = 0; k < 3072; k++)
                printf "%c", 1 + int(rand() * (60 + 20 * label))
        }
    }'
}

prepare() {
    mkdir "$scratch/bin" "$scratch/base" || exit 1
    ln -s "$pare" "$scratch/bin/pare"
    PATH=$scratch/bin:$PATH
    XDG_CACHE_HOME=$scratch/cache # neither read nor write the user's
    export PATH XDG_CACHE_HOME
    cd "$scratch/base" || exit 1
    commands=$(pare list commands --json | sed -n 's/^ *"name": "\(.*\)",*$/\1/p')
    [ -n "$commands" ] || die "'pare list commands' names none"
    pare new resnet20 -o model.onnx --seed 1 --quiet > /dev/null || die "cannot make model.onnx"
    pare prune model.onnx -o small.onnx --target macs=50% --strategy magnitude --no-refit \
        > /dev/null || die "cannot make small.onnx"
    pare new duo -o duo.onnx --input 3x48x48 --seed 1 > /dev/null || die "cannot make duo.onnx"
    mkdir cifar10
    make_images 36 > cifar10/data_batch_1.bin
    make_images 27 > cifar10/test_batch.bin
    case " $(echo "$commands" | tr '\n' ' ') " in
    *" synth "*)
        pare synth data --train 40 --val 20 --test 20 --size 32 --quiet > /dev/null ||
            die "cannot make data/"
        ;;
    *)
        cp -r cifar10 data
        echo "note: there is no command 'synth'; data/ is a copy of cifar10/"
        ;;
    esac
}

# A fresh copy of the folder as the working folder.
enter() {
    cd "$scratch" && rm -rf work && cp -r base work && cd work || exit 1
}

# Runs a shell line; sets $code, leaves ../stdout and ../stderr.
run() {
    checks=$((checks + 1))
    timeout 600 sh -c "$1" > "$scratch/stdout" 2> "$scratch/stderr" < /dev/null
    code=$?
}

# expect CODE PATTERN WHAT: the exit code, and a pattern somewhere in stderr.
expect() {
    if [ "$code" -ne "$1" ]; then
        fail "$3: exit code $code instead of $1"
        sed 's/^/    /' "$scratch/stderr"
        return 1
    fi
    grep -q -e "$2" "$scratch/stderr" && return 0
    fail "$3: stderr does not say '$2'"
    sed 's/^/    /' "$scratch/stderr"
    return 1
}

# --- Golden cases ---

# matches EXPECTED ACTUAL
matches() {
    cmp -s "$1" "$2" && return 0
    exec 3< "$1" 4< "$2"
    while IFS= read -r pattern <&3; do
        if [ "$pattern" = "..." ]; then
            IFS= read -r pattern <&3 || return 0
            found=no
            while [ $found = no ] && IFS= read -r line <&4; do
                # shellcheck disable=SC2254 # it is a pattern
                case $line in $pattern) found=yes ;; esac
            done
            [ $found = yes ] || return 1
            continue
        fi
        IFS= read -r line <&4 || return 1
        # shellcheck disable=SC2254
        case $line in $pattern) ;; *) return 1 ;; esac
    done
    ! IFS= read -r line <&4
}

# check_file CASE SUFFIX ACTUAL
check_file() {
    expected=$here/cases/$1.$2
    [ -e "$expected" ] || expected=/dev/null
    matches "$expected" "$3" && return 0
    if [ "$update" = yes ]; then
        echo "updated: $1.$2"
        if [ -s "$3" ]; then cp "$3" "$here/cases/$1.$2"; else rm -f "$here/cases/$1.$2"; fi
        return 0
    fi
    fail "$1: unexpected $2"
    diff -u "$expected" "$3" | sed 's/^/    /'
}

golden() {
    for path in "$here"/cases/*.sh; do
        name=$(basename "$path" .sh)
        enter
        run ". '$path'"
        check_file "$name" stdout "$scratch/stdout"
        check_file "$name" stderr "$scratch/stderr"
        : > "$scratch/exit"
        [ "$code" -eq 0 ] || echo "$code" > "$scratch/exit"
        check_file "$name" exit "$scratch/exit"
    done
    # an expectation without a case would never be looked at
    for path in "$here"/cases/*; do
        [ -e "${path%.*}.sh" ] || fail "$(basename "$path") belongs to no case"
    done
}

# --- Examples ---

examples_of() {
    pare "$1" --help | sed -n '/^examples:$/,$p' | sed -n 's/^  *\(pare .*\)$/\1/p'
}

# The file that a command line writes with -o, if any.
output_of() {
    echo "$1" | sed -n 's/.* -o  *\([^ ]*\).*/\1/p'
}

# Takes away what a command line is about to make.
clear_outputs() {
    echo "$1" |
        grep -o -E -e '(-o|--report|--plot|--checkpoint|pare synth) +[^ ]+' |
        sed 's/.* //' |
        while IFS= read -r word; do rm -rf "$word"; done
}

examples() {
    for command in $commands; do
        [ -n "$(examples_of "$command")" ] || fail "'pare $command --help' shows no example"
        examples_of "$command" > "$scratch/examples"
        while IFS= read -r example; do
            enter
            clear_outputs "$example"
            run "$example"
            if [ "$code" -ne 0 ]; then
                fail "example of '$command' ends with $code: $example"
                sed 's/^/    /' "$scratch/stderr"
            fi
            out=$(output_of "$example")
            [ -z "$out" ] || [ -s "$out" ] || fail "'$example' writes no '$out'"
        done < "$scratch/examples"
    done
}

# --- Errors ---

check_help() {
    run "pare $1 --help"
    if [ "$code" -ne 0 ] || [ -s "$scratch/stderr" ] ||
        ! head -n 1 "$scratch/stdout" | grep -q "^usage: pare $1 "; then
        fail "'pare $1 --help' does not show its usage"
    fi
    cp "$scratch/stdout" "$scratch/help"
    run "pare help $1"
    cmp -s "$scratch/stdout" "$scratch/help" || fail "'pare help $1' differs from --help"
    run "pare $1 --help > /dev/full"
    expect 1 "cannot write to standard output" "'pare $1 --help' to a full disk"
}

check_usage() {
    run "pare $1 --hepl"
    expect 2 "no option '--hepl'; did you mean --help" "'pare $1 --hepl'"
    run "pare $1 --threads x"
    expect 2 "'x' is no number for --threads" "'pare $1 --threads x'"
    run "pare $1 --threads"
    expect 2 "--threads wants a value" "'pare $1 --threads'"
    run "pare $1 one two three four five"
    expect 2 "one word too many" "'pare $1' with too many words"
    if grep -q "^usage: pare $1 [A-Z]" "$scratch/help"; then
        run "pare $1"
        expect 2 "is missing" "'pare $1' without words"
    fi
}

# The first example with its first model damaged in several ways.
check_bad_models() {
    example=$(examples_of "$1" | head -n 1)
    case $example in *" model.onnx"*) ;; *) return 0 ;; esac
    for kind in missing empty text truncated folder; do
        enter
        clear_outputs "$example"
        case $kind in
        missing) ;;
        empty) : > bad.onnx ;;
        text) echo "this is no model, but a line of text" > bad.onnx ;;
        truncated) head -c 20000 model.onnx > bad.onnx ;;
        folder) mkdir bad.onnx ;;
        esac
        run "$(echo "$example" | sed 's/ model\.onnx/ bad.onnx/')"
        expect 1 "bad.onnx" "'pare $1' with a $kind model"
        out=$(output_of "$example")
        [ -z "$out" ] || [ ! -e "$out" ] || fail "'pare $1' with a $kind model writes '$out'"
    done
}

# An existing file is left alone; a disk that fills up leaves nothing behind.
check_outputs() {
    examples_of "$1" | while IFS= read -r example; do
        out=$(output_of "$example")
        case $example in *--force* | *--resume*) continue ;; esac
        [ -z "$out" ] || { echo "$example"; break; }
    done > "$scratch/writer"
    example=$(cat "$scratch/writer")
    [ -n "$example" ] || return 0
    out=$(output_of "$example")
    enter
    clear_outputs "$example"
    echo "something dear" > "$out"
    run "$example"
    expect 1 "'$out' exists; use --force" "'pare $1' with an existing output"
    [ "$(cat "$out")" = "something dear" ] || fail "'pare $1' overwrites '$out'"
    run "$example --force"
    [ "$code" -eq 0 ] || fail "'pare $1 --force' ends with $code"
    enter
    clear_outputs "$example"
    find . | sort > "$scratch/before"
    run "trap '' XFSZ; ulimit -f 16; $example"
    expect 1 "$out" "'pare $1' on a full disk"
    find . | sort | cmp -s - "$scratch/before" || fail "'pare $1' leaves files behind on a full disk"
    enter
    run "$(echo "$example" | sed "s| -o  *$out| -o nowhere/$out|")"
    expect 1 "nowhere/$out" "'pare $1' into a folder that is not there"
}

errors() {
    for command in $commands; do
        enter
        check_help "$command"
        check_usage "$command"
        check_bad_models "$command"
        check_outputs "$command"
    done
}

[ $# -ge 2 ] || die "usage: run.sh PARE golden|examples|errors [--update]"
[ -x "$1" ] || die "there is no program '$1'"
pare=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
update=no
[ "${3-}" = --update ] && update=yes
prepare
case $2 in
golden) golden ;;
examples) examples ;;
errors) errors ;;
*) die "there is no suite '$2'" ;;
esac
echo "$checks runs, $failures failures"
[ "$failures" -eq 0 ]
