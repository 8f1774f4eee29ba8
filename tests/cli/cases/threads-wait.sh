# Threads that wait for others soon sleep, unless the environment says otherwise; one thread waits for none.
unset GOMP_SPINCOUNT OMP_WAIT_POLICY
waits() {
    OMP_DISPLAY_ENV=VERBOSE "$@" pare bench model.onnx --rounds 1 --quiet --threads "$threads" 2>&1 > /dev/null |
        grep GOMP_SPINCOUNT | tail -n 1
}
threads=2 && waits env
threads=2 && waits env GOMP_SPINCOUNT=77
threads=1 && waits env
