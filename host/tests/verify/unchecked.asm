# Uses the address of a value without asking whether there is one.
#! map counts hash key=4 value=8 entries=1024
    stw [r10-4], 7
    lddw_map_index r1, 0
    mov r2, r10
    add r2, -4
    call 1
    ldxdw r0, [r0]
    exit
