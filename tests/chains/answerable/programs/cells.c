/* Exchanges the values of two cells of the grid. */
void swap_cells(int *left, int *right) {
    int kept = *left;
    *left = *right;
    *right = kept;
}

/* Counts the cells that are alive in a row. */
int alive(const int *row, int width) {
    int count = 0;
    for (int at = 0; at < width; at++)
        count += row[at] > 0;
    return count;
}
