/** A dense table; on a narrow screen each row stands by itself, with its columns' names beside the values. */
import type { ComponentChildren } from 'preact';
import { Empty } from './state';

export interface Column<T> {
  /** Empty: the column of the row's actions. */
  title: string;
  cell: (row: T) => ComponentChildren;
  isNumber?: boolean;
}

export function Table<T>({
  label,
  columns,
  rows,
  id,
  empty,
  more,
}: {
  label: string;
  columns: readonly (Column<T> | false | undefined)[];
  rows: readonly T[];
  id: (row: T) => string;
  empty: ComponentChildren;
  more?: (() => void) | undefined;
}) {
  if (rows.length === 0) return <Empty>{empty}</Empty>;
  const shown = columns.filter((column) => column !== false && column !== undefined);
  // The roles are said, because a table that is laid out as blocks is none for some browsers.
  return (
    <>
      <div class="table-frame" role="region" aria-label={label} tabIndex={0}>
        <table role="table" aria-label={label}>
          <thead role="rowgroup">
            <tr role="row">
              {shown.map((column) => (
                <th role="columnheader" scope="col" class={column.isNumber ? 'number' : ''}>
                  {column.title === '' ? <span class="only-read">Actions</span> : column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => (
              <tr role="row" key={id(row)}>
                {shown.map((column) => {
                  const cell = column.cell(row);
                  const isEmpty =
                    cell === null || cell === undefined || cell === false || cell === '';
                  return (
                    <td role="cell" class={classOf(column)} data-title={column.title}>
                      {!isEmpty && <div>{cell}</div>}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more && (
        <p class="more">
          <button type="button" class="plain" onClick={more}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

function classOf<T>({ title, isNumber }: Column<T>): string {
  if (title === '') return 'row-actions';
  return isNumber ? 'number' : '';
}
