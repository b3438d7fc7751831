//! Operations in memory.
use super::{OperationRow, OperationState, OperationTx};
use crate::error::{StoreError, StoreResult};
use crate::memory::Memory;
use protocol::id::JobNo;

impl OperationTx for Memory {
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64> {
        let no = self
            .operation
            .operations
            .keys()
            .last()
            .map_or(1, |last| last + 1);
        self.operation.operations.insert(
            no,
            OperationRow {
                no,
                ..operation.clone()
            },
        );
        Ok(no)
    }

    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>> {
        Ok(self.operation.operations.get(&no).cloned())
    }

    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let newest = self
            .operation
            .operations
            .values()
            .rev()
            .filter(|row| job.is_none() || row.job == job);
        Ok(newest.take(limit as usize).cloned().collect())
    }

    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let running = self
            .operation
            .operations
            .values()
            .filter(|row| row.state == OperationState::Running);
        Ok(running.take(limit as usize).cloned().collect())
    }

    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()> {
        let row = self.operation.operations.get_mut(&operation.no);
        *row.ok_or_else(|| StoreError::Corrupt(format!("no operation {}", operation.no)))? =
            operation.clone();
        Ok(())
    }

    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()> {
        self.operation.inputs.remove(&operation);
        self.operation
            .inputs
            .extend(input.map(|input| (operation, input.to_owned())));
        Ok(())
    }

    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>> {
        Ok(self.operation.inputs.get(&operation).cloned())
    }
}
