# A histogram of the first 256 bytes on the stack, then the most frequent class of bytes, then its square root, by a
# function that is called twice.
    mov r6, r1
    mov r7, 0
clear:                          # for (i = 0; i < 32; i++) histogram[i] = 0
    mov r2, r7
    lsh r2, 3
    mov r3, r10
    add r3, -256
    add r3, r2
    stdw [r3], 0
    add r7, 1
    jlt r7, 32, clear
    mov r7, 0
count:                          # for (i = 0; i < 256; i++) histogram[buffer[i] / 8]++
    mov r2, r6
    add r2, r7
    ldxb r3, [r2]
    rsh r3, 3
    lsh r3, 3
    mov r4, r10
    add r4, -256
    add r4, r3
    ldxdw r5, [r4]
    add r5, 1
    stxdw [r4], r5
    add r7, 1
    jlt r7, 256, count
    mov r7, 0
    mov r8, 0
most:                           # for (i = 0; i < 32; i++) if (histogram[i] > most) most = histogram[i]
    mov r2, r7
    lsh r2, 3
    mov r3, r10
    add r3, -256
    add r3, r2
    ldxdw r4, [r3]
    jle r4, r8, less
    mov r8, r4
less:
    add r7, 1
    jlt r7, 32, most
    mov r1, r8
    call local root
    mov r8, r0
    mov r1, 65536
    call local root
    add r0, r8
    exit
root:                           # for (r = 0; r < 256 && r * r < n; r++)
    mov r0, 0
step:
    mov r2, r0
    mul r2, r0
    jge r2, r1, done
    add r0, 1
    jlt r0, 256, step
done:
    exit
