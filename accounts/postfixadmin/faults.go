package postfixadmin

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
)

// Error numbers of MySQL, MariaDB and Galera that something here depends on.
// No number is ever a "no": see accounts.ErrNotFound.
const (
	mysqlDBAccessDenied = 1044
	mysqlAccessDenied   = 1045
	mysqlNoDatabase     = 1049
	mysqlNoColumn       = 1054
	mysqlNoTable        = 1146
	sqliteError         = 1 // SQLITE_ERROR: the statement does not fit the schema
)

// NeedsOperator reports that err will not pass by itself: the database refuses
// our credentials, or the tables are not PostfixAdmin's. Mail waits all the
// same, but somebody should be told.
func NeedsOperator(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch my.Number {
		case mysqlDBAccessDenied, mysqlAccessDenied, mysqlNoDatabase, mysqlNoColumn, mysqlNoTable:
			return true
		}
		return false
	}
	return misfits(err)
}

// misfits reports that the statement named a table or column that is not
// there: the schema has changed since it was probed, or is not PostfixAdmin's.
func misfits(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return my.Number == mysqlNoColumn || my.Number == mysqlNoTable
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqliteError
}

// isMissingTable is misfits for a statement that names no column.
func isMissingTable(err error) bool { return misfits(err) }

// isBroken reports that the connection died under the statement, which a new
// connection may well answer.
func isBroken(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
