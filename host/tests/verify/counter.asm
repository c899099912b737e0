# Counts the first byte of the buffer in a hash, and says how often it was seen.
#! memory 16
#! map counts hash key=4 value=8 entries=1024
    ldxb r7, [r1]
    stxw [r10-4], r7
    stdw [r10-16], 1
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -4
    call 1                      # map_lookup_elem
    jeq r0, 0, new
    ldxdw r3, [r0]
    add r3, 1
    stxdw [r0], r3
    mov r0, r3
    exit
new:
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -4
    mov r3, r10
    add r3, -16
    mov r4, 0
    call 2                      # map_update_elem
    mov r0, 1
    exit
