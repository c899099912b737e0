# Counts ten keys in a hash map: looks each up, and adds to its value or puts it in. How many were there.
    mov r6, 0
    mov r7, 0
next:
    stxdw [r10-8], r6
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -8
    call 1
    jeq r0, 0, absent
    ldxdw r1, [r0]
    add r1, 1
    stxdw [r0], r1
    add r7, 1
    ja further
absent:
    stdw [r10-16], 1
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -8
    mov r3, r10
    add r3, -16
    mov r4, 0
    call 2
further:
    add r6, 1
    jlt r6, 10, next
    mov r0, r7
    exit
